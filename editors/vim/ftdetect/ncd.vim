autocmd BufRead,BufNewFile *.ncd setfiletype ncd
