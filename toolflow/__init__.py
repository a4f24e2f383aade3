"""ToolFlow: a catalogue of tools in, a data set of coherent tool-calling dialogues out."""

__version__ = "0.1.0"
