#!/usr/bin/env bash
# Calls every operation of a running server's API as its OpenAPI description allows, and as it does not: no answer may
# be a 5xx, of another shape than described, or of an undocumented status. `python -m tests.live.fuzz_api` does so in
# every role, on a server of its own.
#
#     benchmarks/server/run_schemathesis.sh http://127.0.0.1:8000 axonem_TOKEN [examples per operation]
#
# An empty token: as nobody.
set -euo pipefail
url=${1:?address of the server} token=${2?a token, or an empty word} examples=${3:-40}
cd "$(dirname "$0")/../.."
checks=not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance
checks=$checks,response_headers_conformance,negative_data_rejection,unsupported_method
who=()
if [ -n "$token" ]; then
    who=(--header "Authorization: Bearer $token")
    checks=$checks,ignored_auth
fi
PATH=".venv/bin:$PATH" exec schemathesis run "$url/api/v1/openapi.json" "${who[@]}" \
    --max-examples "$examples" --seed 1 --checks "$checks"
