#!/usr/bin/env python3
"""Turns a Debian package index into records for "cartwheel load".

    apt-cache dumpavail | ./to_ndjson.py > packages.ndjson

Reads stanzas separated by blank lines from standard input and writes one JSON
object per line: {"key": ..., "value": ..., "content_type": "text/plain"}. The key
is the package name, or name_version for every package that the index has in
several versions (and name_version_architecture where even those repeat). The value
is the stanza as it stands. Needs Python 3.8, nothing to install.
"""

import collections
import json
import sys


def stanzas(lines):
    """Yields the text of each stanza, its lines each with their newline."""
    stanza = []
    for line in lines:
        line = line.rstrip('\n')
        if line:
            stanza.append(line + '\n')
        elif stanza:
            yield ''.join(stanza)
            stanza = []
    if stanza:
        yield ''.join(stanza)


def field(stanza, name):
    """Returns the first line of a field, '' if the stanza does not have it."""
    for line in stanza.split('\n'):
        if line.startswith(name + ':'):
            return line[len(name) + 1:].strip()
    return ''


def keys(found):
    """Returns one key for each stanza, the shortest that tells it from the others.

    Stanzas that are alike in name, version and architecture share a key."""
    full = [tuple(field(stanza, name) for name in ('Package', 'Version', 'Architecture')) for stanza in found]
    distinct = set(full)
    names = collections.Counter(one[0] for one in distinct)
    versions = collections.Counter(one[:2] for one in distinct)
    return ['_'.join(one[:1] if names[one[0]] == 1 else one[:2] if versions[one[:2]] == 1 else one) for one in full]


def main():
    sys.stdin.reconfigure(encoding='utf-8', errors='replace')
    sys.stdout.reconfigure(encoding='utf-8')
    found = list(stanzas(sys.stdin))
    if not found:
        sys.exit('to_ndjson.py: the package index is empty (run "apt-get update" as root first?)')
    nameless = sum(not field(stanza, 'Package') for stanza in found)
    if nameless:
        sys.exit(f'to_ndjson.py: {nameless} of {len(found)} stanzas have no Package field: this is no package index')
    written = {}
    for key, stanza in zip(keys(found), found):
        if key in written:  # the index may repeat a stanza; the first one stands
            continue
        written[key] = True
        print(json.dumps({'key': key, 'value': stanza, 'content_type': 'text/plain'}, ensure_ascii=False))
    size = sum(len(stanza.encode()) for stanza in found)
    print(f'to_ndjson.py: {len(found)} stanzas, {size // len(found)} bytes on average, {len(written)} keys', file=sys.stderr)


if __name__ == '__main__':
    main()
