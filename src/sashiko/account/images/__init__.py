"""The images of jobs and endpoints: AWS's, and the project's own on top of them."""
