"""From text to the surface tree: lexer, layout of lines, LALR parser, errors of syntax."""
