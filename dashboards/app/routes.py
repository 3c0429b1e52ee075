"""What the browser fetches beside the pages."""
ROUTES = []
