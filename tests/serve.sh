# For the scripts that test against a running product: starts one or several, and ends them with the script. To be sourced.

servers=()
end_servers() {
    kill "${servers[@]}" 2> /dev/null || true
    wait "${servers[@]}" || true
}
trap end_servers EXIT

# Runs the command, a `mneme-local serve`, and waits until it can serve. Sets $api and $dynamodb to its URLs.
serve() {
    local ready
    ready=$(mktemp)
    "$@" > "$ready" &
    servers+=($!)
    for _ in $(seq 300); do
        grep -q '^ready' "$ready" && break
        # Its own complaint is on stderr.
        kill -0 "$!" || exit 1
        sleep 0.1
    done
    read -r _ api dynamodb < "$ready"
    rm "$ready"
    api=${api#api=} dynamodb=${dynamodb#dynamodb=}
}
