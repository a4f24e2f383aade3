"""How the rehearsal server behaves: latency, limits and faults, decided without waiting."""
