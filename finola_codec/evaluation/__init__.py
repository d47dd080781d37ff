"""Comparing codecs: real bytes, real decodes, the field's metrics (extra ``[eval]``)."""
