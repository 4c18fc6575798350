"""The language server: what an editor asks about a `.ncd` file.

`server` speaks the protocol; the other modules know nothing of it and answer in spans and texts.
"""
