"""The served artifact held against the model that was judged, on an endpoint or right here."""
