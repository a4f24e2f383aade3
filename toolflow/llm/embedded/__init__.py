"""A small real model beside the run, through llama.cpp (an extra)."""
