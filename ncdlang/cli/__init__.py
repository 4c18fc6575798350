"""The command line `ncdc`: a thin shell round the compiler, one module for each subcommand."""
