"""Speed: latency by block and end to end, growth, roofline, operators."""
