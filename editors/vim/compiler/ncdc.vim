" `:make` checks the file; errors and warnings go to the quickfix list.
if exists("current_compiler")
  finish
endif
let current_compiler = "ncdc"

CompilerSet makeprg=ncdc\ check\ --format\ concise\ %:S
CompilerSet errorformat=%f:%l:%c:\ %trror[NCD%n]\ %m,%f:%l:%c:\ %tarning[NCD%n]\ %m,%-G%.%#
