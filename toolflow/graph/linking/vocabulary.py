"""Words that decide what a field's name says."""

from __future__ import annotations

from typing import Final

Name = tuple[str, ...]
"""The normal words of a field's name; fields with equal names form a name cluster."""


def _names(text: str) -> frozenset[Name]:
    return frozenset(tuple(name.split()) for name in text.split(","))


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_PAGING = _names(
    """
    page, page number, page no, page index, page size, page token, per page, page limit, limit,
    offset, cursor, next cursor, end cursor, next page, next page token, next token, previous page, last
    page, first page, current page, total page, page count, item per page, result per page, hit per page,
    max result, max item, count, size, skip, total, total count, total result, total item, total record,
    start index, row, outputsize, pagination, paging, has more, has next, has next page, next, previous,
    prev, marker, after, before, first, last, self, link
    """
)
CREDENTIALS: Final = _names(
    """
    api key, apikey, x api key, x rapid api key, x rapidapi key, x rapid api host, x rapidapi host,
    rapidapi key, authorization, auth, auth token, oauth token, access token, refresh token, bearer token,
    token, secret, api secret, app key, app secret, client secret, password, pass, credential, signature,
    session, api token, key, csrf token, token type
    """
)
"""Names of what proves who calls: given by what logs in, wanted by everything else."""


def is_credential(name: Name) -> bool:
    """Whether a name is that of what proves who calls, such as *session token*."""
    return name in CREDENTIALS or (name[-1:] == ("token",) and name not in _PAGING)


_PRESENTATION = _names(
    """
    lang, locale, hl, gl, format, output, output format, response format, response type, return type, fmt,
    callback, pretty, pretty print, indent, content type, accept, accept encoding, accept language, user
    agent, referer, charset, encoding, cache control, sort, sort by, sort order, sort direction, sorting,
    order, order by, direction, dir, field, selected field, include, exclude, expand, filter, verbose,
    debug, api version, json, cor enabled, alt, quota user, upload type, upload protocol, xgafv, x
    cachebypass, user ip, mode
    """
)
_ENVELOPES = _names(
    """
    success, ok, status, status code, status message, http code, http status, message, msg, error, error
    message, error code, error description, error detail, code, warning, info, detail, data, result,
    response, item, record, entry, list, object, body, payload, meta, metadata, header, parameter, param,
    argument, request, query, request id, trace id, version, etag, kind, elapsed, took, took millisecond,
    execution time, response time, processing time, took second, timestamp, server time, copyright,
    disclaimer, documentation, raw, option, flag, index, rank, href, done, valid, is valid, value,
    description, note, comment, type, action, enabled, active, deleted
    """
)

BOILERPLATE: Final = _PAGING | CREDENTIALS | _PRESENTATION | _ENVELOPES
"""Names that never join alone; with what they stand in they may (``order.status`` is an *order status*)."""

NAMELESS: Final = _words(
    """
    id uuid uid guid sid name title code number key slug type value label status description version path
    hash content
    """
)
"""Names that mean nothing without what they stand in or what their tool is about."""

PLAIN: Final = _words(
    """
    date time url image text address email phone price category symbol
    """
)
"""Names that mean something alone, and more with what they stand in."""

OUTCOMES: Final = _words("success successful succeeded status")
"""Last words of names that tell how a call went and nothing else."""

LOCAL: Final = _words(
    """
    id uuid uid guid key sid slug code
    """
)
"""Last words of names whose values belong to one service: a user id of one is nothing to another."""

WRAPPERS: Final = _words(
    """
    data result response item record entry list object body payload output meta metadata attribute
    property node edge element row hit doc document value field detail info param parameter argument input
    request root all content
    """
)
"""Objects that name nothing: what stands in them goes by its own name."""

PREPOSITIONS: Final = _words(
    """
    by for from in of to with at on via per using and or
    """
)
"""Words that end what a tool's name is about: ``hotels`` in ``search_hotels_by_city``."""

VERBS: Final = _words(
    """
    get list find search fetch retrieve lookup create add new update set edit modify change delete remove
    cancel post put patch check show view read send make book reserve buy order
    """
)
"""Words of a tool's name that say what it does and not what about."""

GIVING: Final = _words(
    """
    get list find search fetch retrieve lookup query show view read check browse discover create add new make
    register book reserve place open start upload generate post insert submit login authenticate auth signin
    sign token
    """
)
"""Verbs of tools whose results are news to who calls."""

CHANGING: Final = _words(
    """
    update set edit modify change delete remove cancel put patch close send toggle reset pay apply clear
    rename move disable enable block freeze unfreeze mark unfollow unsubscribe return refund replace archive
    activate deactivate suspend resume resolve approve deny reject revoke dismiss terminate logout signout
    """
)
"""Verbs of tools that change or remove what their caller knows."""
