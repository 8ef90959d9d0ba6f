"""What was published, claim by claim, and the measurements that the claims are held against."""
