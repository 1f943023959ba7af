"""The code that runs in the serving image: plain files with sibling imports, for Python 3.10."""
