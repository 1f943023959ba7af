"""What this project is made of, and what is known against it: `make sbom`, `make audit`.

Repository code, never installed.
"""
