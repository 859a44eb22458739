"""Bytes or text to model values and back; a parser returns a value or raises ParseError."""
