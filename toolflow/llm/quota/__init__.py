"""What rate limits allow."""
