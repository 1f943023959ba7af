"""The bill of materials and the vulnerability audit: `make sbom`, `make audit`.

Repository code, never installed.
"""
