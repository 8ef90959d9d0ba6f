"""The architecture diagram as SVG, and the parts of its page as HTML.

Everything here takes records, and the same records give the same bytes.
"""
