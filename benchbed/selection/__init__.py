"""What several selectors share: decisions one at a time, races between candidates, candidates that are trained."""
