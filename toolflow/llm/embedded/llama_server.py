"""llama.cpp's server as a process of its own; :mod:`toolflow.llm.embedded.endpoint` starts and ends it.

Run as ``python -m toolflow.llm.embedded.llama_server MODEL NAME SLOTS CONTEXT_PER_SLOT``. It prints its
address when the model is loaded, writes errors to its standard error, and ends when its standard input does:
so it goes with its parent, however that went.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
from typing import NoReturn

# Errors alone: llama.cpp logs several lines a request otherwise.
_VERBOSITY = 1
# Kept prompts of dialogues that wait for a slot; llama.cpp would take 8 GiB.
_PROMPT_CACHE_MIB = 1024
# A request that sets no limit may otherwise ramble until its context is full.
_COMPLETION_TOKENS = 512


def main(path: str, name: str, slots: int, context_per_slot: int) -> NoReturn:
    """Serve the model until standard input ends.

    Args:
        path: A GGUF file.
        name: What the server calls the model.
        slots: Requests that are answered at once.
        context_per_slot: LLM tokens of one request, prompt and completion together.
    """
    # A terminal's Ctrl-C is for the parent, which may want to finish its calls.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Threads that wait for the next batch would otherwise spin, and take the parent's share of the processor.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    os.environ.setdefault("GOMP_SPINCOUNT", "0")
    # Standard output carries the address and nothing else, whatever native code prints.
    announcement = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    try:
        xllamacpp = importlib.import_module("xllamacpp")
    except ImportError as error:
        sys.exit(f"xllamacpp cannot be imported: {error}")
    params = xllamacpp.CommonParams()
    params.model.path = path
    params.model_alias = {name}
    params.n_parallel = slots
    params.n_ctx = slots * context_per_slot
    params.n_predict = _COMPLETION_TOKENS
    params.cache_ram_mib = _PROMPT_CACHE_MIB
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.verbosity = _VERBOSITY
    # No page of a browser may talk to it, and nobody may read the prompts of others.
    params.cors_origins = ""
    params.cors_origins_explicit = True
    params.ui = False
    params.endpoint_slots = False
    try:
        server = xllamacpp.Server(params)
    except RuntimeError as error:
        sys.exit(str(error))
    with announcement:
        announcement.write(f"{server.listening_address}\n")
    sys.stdin.buffer.read()
    # The server's own end waits for open requests, for ever; it has nothing to save.
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
