"""What a person might want of a tool, told from its name and description: ``find flights``."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from toolflow.llm.providers.rehearsal.words import is_plural, singular, split_name, spoken_name, with_article

_LEAD_IN: Final = re.compile(
    r"^(?:.*?tool description:\s*"
    r"|(?:this|the)\s+(?:tool|function|endpoint|api|method|operation|service|call|resource)\s+"
    r"(?:is used to|can be used to|is for|allows (?:you|users|the user) to|lets (?:you|users)"
    r"|enables (?:you|users) to|helps to|will|helps (?:you )?(?:to )?)?\s*"
    r"|used to\s+|use this to\s+|allows (?:you|users) to\s+"
    r"|an? (?:tool|api|endpoint) (?:to|that)\s+|api (?:to|for)\s+|endpoint to\s+)",
    re.I | re.S,
)
# What follows these words says how, when or with what: too much for a wish.
_CUT: Final = re.compile(
    r"(?:\s+(?:with|by|based on|using|given|near|optionally|such as|including|that|which|whose|when|where"
    r"|so that|in order|if|between two|between a|within|via|through|as last|under the|at the market"
    r"|from a chosen|per|according to|along with|together with|for (?:a|the) given|from (?:the )?given"
    r"|and (?:returns?|charges?|tells?|sends?|shows?|joins?|sets?|gives?|a)\b"
    r"|for the named|in detail|now|as well as|at a|at the|until|without|up to|goes|it has|they"
    r"|the user (?:has|is))\b|[.;:(,]|\s[-–]\s|\n)",
    re.I,
)
_TAIL: Final = re.compile(
    r"\s+(?:in|for|of|to|from|on|at|into)\s+(?:an?|one|the|two|some|each|its|their)?\s*"
    r"(?:given |specific |specified |certain |particular |single |chosen )?"
    r"(?:city|cities|day|days|date|dates|location|locations|place|address|point(?: on the map)?|area|country"
    r"|period|id|ids|name|email|topic|stock|query|user|users|coordinates|time|keyword|parameters?|nights)$",
    re.I,
)
_GIVEN: Final = re.compile(
    r"\b(?:specific|given|specified|certain|particular|single|existing|provided|corresponding)\s+", re.I
)
_OWN: Final = re.compile(r"\b(?:a|the|your|this) user(?:'s|s')|\bthe user['’]s|\busers'|\byour\b", re.I)
_USER: Final = re.compile(r"\s*\b(?:for|of|by) (?:a|the) user\b(?!['’])", re.I)
_LOOSE_END: Final = re.compile(
    r"(?:\s+(?:and|or|on|at|in|of|for|from|to|a|an|the|is|before|their|by|with|into|as))+$", re.I
)
_ENUMERATION: Final = re.compile(
    r",\s+(?:[\w-]+\s+){0,2}[\w-]+(?:,\s+(?:[\w-]+\s+){0,2}[\w-]+)*,?\s+(?:and|or)\s"
)
_NOISE: Final = re.compile(r"[_-](?:[0-9a-f]{8}|\d+)$")

_NO_THING: Final = frozenset(("", "a", "an", "the", "all", "new", "current", "one", "their", "any"))
_TAKE_TO: Final = frozenset(("subscribe", "reply", "apply", "listen"))
_LOOKUP: Final = frozenset("get retrieve fetch return obtain read provide give show display".split())
_LOOKUP_VERBS: Final = ("check", "see", "look up", "pull up")
_LIST_VERBS: Final = ("see", "list", "look through", "go over")
_SEARCH_VERBS: Final = ("find", "search for", "look for")
_VERBS: Final = frozenset(
    "get retrieve fetch return obtain read provide give show display find search list book reserve order "
    "buy create add make update "
    "change modify edit set delete remove cancel send share check calculate compute convert translate "
    "analyze track plan request "
    "transfer pay log record play register schedule reschedule invite assign place subscribe save upload "
    "download generate "
    "estimate compare detect validate verify post open close start stop submit apply join leave rent "
    "lookup discover locate query "
    "browse recommend suggest predict measure evaluate assess determine identify monitor review rate like "
    "follow print turn switch "
    "move copy rename sort encrypt decrypt encode decode summarize extract classify describe mark lock "
    "unlock answer reply "
    "report export import count solve select choose purchase exchange return modify look sign login "
    "logout view run perform "
    "access collect call investigate optimize simulate design develop manage filter match test enable "
    "disable activate fill "
    "refund renew restart reboot resolve round scan store stream trigger visit vote withdraw deposit "
    "watch write work".split()
)
_ONE_OF_MANY: Final = frozenset(
    "book create add make reserve buy order place request set plan send write open schedule log record "
    "save submit post register".split()
)
_LONGEST: Final = 11


@lru_cache(maxsize=16_384)
def intents(name: str, description: str) -> tuple[str, ...]:
    """Infinitive phrases for what the tool does, likeliest first, distinct; at least one."""
    told = _from_description(description)
    named = _from_name(name)
    phrases = [*(_variants(told) if told else ()), *_variants(named)]
    return tuple(
        dict.fromkeys(phrase for phrase in phrases if name.lower() not in phrase.lower() or "_" not in name)
    ) or (f"get help with {spoken_name(name)}",)


def base_form(word: str) -> str:
    """``Finds`` as ``find``."""
    plain = word.lower()
    if plain in _VERBS:
        return plain
    for ending, instead in (("ies", "y"), ("es", ""), ("s", ""), ("es", "e")):
        if plain.endswith(ending) and plain[: -len(ending)] + instead in _VERBS:
            return plain[: -len(ending)] + instead
    if plain.endswith("s") and not plain.endswith(("ss", "us", "is")) and len(plain) > 3:
        return plain[:-1]
    return plain


@lru_cache(maxsize=16_384)
def verb_of(name: str) -> str:
    """The verb in a tool's name: ``Banks_1_TransferMoney`` gives ``transfer``; empty where it has none."""
    return next((verb for word in split_name(name)[:4] if (verb := base_form(word)) in _VERBS), "")


def is_verb(word: str) -> bool:
    """Whether a word, as it stands, says what a tool may do."""
    return word.lower() in _VERBS


def _from_description(description: str) -> str:
    text = _LEAD_IN.sub("", description.strip(), count=1).strip().strip("*#`\"' ")
    text = _OWN.sub("their", _USER.sub("", text))
    words = text.split()
    if not words or not words[0].isascii() or _ENUMERATION.search(text.split(". ")[0]):
        return ""
    verb = base_form(words[0].strip(".,:;"))
    if verb == "give" and words[1:2] not in (["the"], ["all"], ["information"]):
        return ""
    if verb not in _VERBS:
        return ""
    rest = text[len(words[0]) :].strip()
    if verb == "look" and rest.startswith("up "):
        verb, rest = "get", rest[3:]
    start = 0
    cut = _CUT.search(rest, start)
    while cut and rest[: cut.start()].lower() in _NO_THING and rest[cut.start()] not in ".;:(\n":
        cut = _CUT.search(rest, cut.end())
    thing = _GIVEN.sub("", rest[: cut.start()] if cut else rest).strip().rstrip(".,;:")
    thing = _LOOSE_END.sub("", _TAIL.sub("", _LOOSE_END.sub("", thing)) or thing)
    thing = (
        re.sub(r"\bone (?:of )?(?!of\b)(?=[a-z])", "a ", thing)
        .replace("a their", "one of their")
        .replace("a the", "one of the")
    )
    thing = re.sub(r"\b(?:a an|an? (?=a |an |the ))", "", thing)
    thing = re.sub(
        r"^(?:all(?: of)?|a list of|list of|the list of|information about|info about|details "
        r"(?:of|about|for))\s+",
        "",
        thing,
        flags=re.I,
    )
    if not thing or len(thing.split()) > _LONGEST or not re.fullmatch(r"[\w\s'’,/&+-]+", thing):
        return ""
    return f"{verb} {_lower_first(thing)}"


def _lower_first(text: str) -> str:
    first, _, rest = text.partition(" ")
    plain = first.lower() if first[1:].islower() or len(first) == 1 else first
    return f"{plain} {rest}".strip()


def _from_name(name: str) -> str:
    words = list(split_name(_NOISE.sub("", name)))
    verb = base_form(words[0]) if words else ""
    if verb in _VERBS and len(words) > 1:
        thing = words[1:]
    elif len(words) == 1 and verb in _VERBS:
        return verb
    elif len(words) > 2 and base_form(words[2]) in _VERBS and not words[0].isdigit():
        verb, thing = base_form(words[2]), words[3:] or words[:1]  # Banks_1_CheckBalance
    else:
        verb, thing = "get", words or ["it"]
    return f"{verb}{' to' if verb in _TAKE_TO and thing[0] != 'to' else ''} {_articled(verb, thing)}"


def _articled(verb: str, thing: list[str]) -> str:
    noun = " ".join(spoken_name(word) for word in thing)
    if thing[0] in {"the", "a", "an", "all", "my", "by", "to", "in", "from", "for", "of", "on", "up", "with"}:
        return noun
    if is_plural(thing[-1]):
        return noun if verb in _ONE_OF_MANY or verb in {"search", "find", "list"} else f"the {noun}"
    return with_article(noun) if verb in _ONE_OF_MANY else f"the {noun}"


def _variants(phrase: str) -> tuple[str, ...]:  # noqa: PLR0911  one return a verb
    """The phrase with other verbs that say the same."""
    verb, _, thing = phrase.partition(" ")
    if not thing:
        return (phrase,)
    if verb in _LOOKUP:
        return tuple(f"{one} {thing}" for one in _LOOKUP_VERBS)
    if verb == "list":
        return tuple(f"{one} {_definite(thing)}" for one in _LIST_VERBS)
    if verb in {"search", "find"}:
        bare = re.sub(r"^for\s+", "", thing)
        if bare.startswith(("the ", "their ")) and (" for " in bare or verb == "search"):
            return (
                (f"search {bare}",)
                if " for " in bare or bare.startswith("their ")
                else tuple(f"{one} {bare}" for one in _SEARCH_VERBS)
            )
        return tuple(f"{one} {bare}" for one in _SEARCH_VERBS)
    if verb in {"buy", "purchase"}:
        return tuple(f"{one} {thing}" for one in ("buy", "get"))
    return (phrase,)


def _definite(thing: str) -> str:
    return (
        thing if thing.startswith(("the ", "their ", "all ", "a ", "an ", "every", "my ")) else f"the {thing}"
    )


def thing_of(name: str) -> str:
    """The thing that a tool is about, as one noun: ``search_flights`` gives ``flight``."""
    words = [word for word in split_name(_NOISE.sub("", name)) if not word.isdigit()]
    if len(words) > 1 and base_form(words[0]) in _VERBS:
        words = words[1:]
    return singular(words[-1]) if words else "one"
