" Settings for neural circuit diagrams.
if exists("b:did_ftplugin")
  finish
endif
let b:did_ftplugin = 1

setlocal commentstring=#\ %s comments=:##,:#
setlocal expandtab shiftwidth=2 softtabstop=2 textwidth=100
setlocal iskeyword+='
setlocal suffixesadd=.ncd
setlocal formatprg=ncdc\ fmt\ -
compiler ncdc

let b:undo_ftplugin = "setlocal commentstring< comments< expandtab< shiftwidth< softtabstop<"
      \ . " textwidth< iskeyword< suffixesadd< formatprg< makeprg< errorformat<"
