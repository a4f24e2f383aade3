"""LLM calls: requests and completions, the gate they pass, retries, transport and providers."""
