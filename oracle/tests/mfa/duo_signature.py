"""Signs requests with duo_client's own functions: a JSON list of them on standard input, as many results on standard output."""

import hashlib
import json
import sys

from duo_client import client as duo

results = []
for request in json.load(sys.stdin):
    in_body = request["method"] == "POST"
    parameters = {} if in_body else duo.normalize_params(request["parameters"])
    results.append(
        {
            "authorization": duo.sign(
                request["key"],
                request["secret"],
                request["method"],
                request["host"],
                request["path"],
                request["date"],
                duo.Client.sig_version,
                parameters,
                request["body"],
                hashlib.sha512,
            ),
            "query": duo.canon_params(parameters),
            "body": duo.Client.canon_json(request["parameters"]) if in_body else "",
        }
    )
json.dump(results, sys.stdout)
