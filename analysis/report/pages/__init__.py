"""The site's fragments and pages, written from the records before the site is built."""
