"""Providers: what sends a request, or answers it itself."""
