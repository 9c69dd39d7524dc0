#!/usr/bin/env bash
# Calls every operation of a running server's API as its OpenAPI description allows, and as it does not: no answer may
# be a 5xx, of another shape than described, or of an undocumented status.
#
#     benchmarks/server/run_schemathesis.sh http://127.0.0.1:8000 axonem_TOKEN [examples per operation]
set -euo pipefail
url=${1:?address of the server} token=${2:?a token with the scopes read and submit} examples=${3:-40}
cd "$(dirname "$0")/../.."
PATH=".venv/bin:$PATH" exec schemathesis run "$url/api/v1/openapi.json" \
    --header "Authorization: Bearer $token" --max-examples "$examples" --seed 1 \
    --checks not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance,response_headers_conformance,negative_data_rejection,ignored_auth,unsupported_method
