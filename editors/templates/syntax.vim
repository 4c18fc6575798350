" Vim syntax file
" Language: neural circuit diagrams (NCD)
" Generated from grammar/ncd.lark and the standard library: `make grammars`.

if exists("b:current_syntax")
  finish
endif

syntax iskeyword @,48-57,_,192-255,'

syntax keyword ncdDeclares @DECLARING@
syntax keyword ncdStatement @STATEMENTS@
syntax keyword ncdLogic @LOGIC@
syntax keyword ncdConstant @CONSTANTS@
syntax keyword ncdLibrary @LIBRARY@

syntax match ncdNumber /\<\d\+\%(\.\d\+\)\?\%([eE][+-]\?\d\+\)\?\>/
syntax match ncdOperator /->\|>>\|[=!<>]=\|+=\|\*=\|\<\%(max\|min\)=\|[-+*\/%^=<>~|]/
syntax match ncdStructure /:\s*\zs\<\%(@STRUCTURES@\)\>/
syntax match ncdType /\%(:\|->\|(\|,\)\s*\zs\<\%(@TYPES@\)\>\ze\s*[[(]/

syntax match ncdAxis /\<\k\+\>/ contained
syntax region ncdBrackets start=/\[/ end=/\]/ transparent
      \ contains=ncdAxis,ncdBrackets,ncdIndexed,ncdNumber,ncdOperator,ncdLibrary,ncdConstant,
      \ncdLogic,ncdDeclares,ncdStatement,ncdComment
syntax match ncdIndexed /\<\k\+\>\ze\s*\[/ contained contains=ncdLibrary

syntax match ncdDeclared /\%(\<\%(diagram\|op\)\s\+\)\@<=\k\+/
syntax match ncdNamed /\%(\<\%(config\|const\)\s\+\)\@<=\k\+/
syntax match ncdAxis /\%(\<axis\s\+\)\@<=\k\+/

syntax region ncdString start=/"/ skip=/\\./ end=/"\|$/
syntax match ncdComment /#.*$/ contains=@Spell
syntax match ncdDocumentation /^\s*##.*$/ contains=@Spell

highlight default link ncdDeclares Keyword
highlight default link ncdStatement Statement
highlight default link ncdLogic Operator
highlight default link ncdConstant Constant
highlight default link ncdLibrary Function
highlight default link ncdNumber Number
highlight default link ncdOperator Operator
highlight default link ncdStructure StorageClass
highlight default link ncdType Type
highlight default link ncdAxis Identifier
highlight default link ncdDeclared Function
highlight default link ncdNamed Constant
highlight default link ncdString String
highlight default link ncdComment Comment
highlight default link ncdDocumentation SpecialComment

let b:current_syntax = "ncd"
