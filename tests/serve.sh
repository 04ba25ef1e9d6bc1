# For the scripts that test against a running product: starts one, and ends it with the script. To be sourced.

# Runs the command, a `mneme-local serve`, and waits until it can serve. Sets $api and $dynamodb to its URLs.
serve() {
    local ready
    ready=$(mktemp)
    "$@" > "$ready" &
    server=$!
    # shellcheck disable=SC2064
    trap "kill $server 2> /dev/null || true; wait $server || true; rm -f '$ready'" EXIT
    for _ in $(seq 300); do
        grep -q '^ready' "$ready" && break
        # Its own complaint is on stderr.
        kill -0 "$server" || exit 1
        sleep 0.1
    done
    read -r _ api dynamodb < "$ready"
    api=${api#api=} dynamodb=${dynamodb#dynamodb=}
}
