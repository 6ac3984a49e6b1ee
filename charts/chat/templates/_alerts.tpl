{{/* The alerts, about the servers that `of` matches. A metric that no server exposes is found by
scripts/chart-metrics.py. */}}
{{- define "chat.alerts" -}}
- alert: ChatDown
  expr: absent(chat_server_build_info{ {{- .of -}} })
  for: 5m
  severity: critical
  summary: No server of the chat answers the scraper.
  description: Nobody can chat, or nobody scrapes. Look at the pods; with a ChatCluster, at its condition Ready.
- alert: ChatPostgresUnreachable
  expr: sum by (namespace) (rate(chat_postgres_connect_errors_total{ {{- .of -}} }[5m])) > 0
  for: 5m
  severity: critical
  summary: Servers cannot connect to PostgreSQL.
  description: Nothing that is sent is acknowledged while this lasts; it goes on by itself. Look at PostgreSQL, its number of connections and the network between. The servers' logs have the reason.
- alert: ChatPostgresPoolExhausted
  expr: max by (pod, pool) (chat_postgres_waiting{ {{- .of -}} }) > 0
  for: 10m
  severity: warning
  summary: Requests wait for a connection to PostgreSQL.
  description: The pool of the server is too small or PostgreSQL too slow. Look at slow queries first, then raise postgres.write_connections or postgres.read_connections and max_connections with them.
- alert: ChatBusDisconnected
  expr: min by (pod) (chat_bus_connected{ {{- .of -}} }) == 0
  for: 2m
  severity: warning
  summary: A server is not connected to Redis.
  description: Nothing is lost, but what is said on another server arrives up to ten seconds late, and presence is wrong. Look at Redis and the network to it.
- alert: ChatBusOverloaded
  expr: sum by (pod) (rate(chat_bus_overflowed_total{ {{- .of -}} }[5m])) > 0 or sum by (pod) (rate(chat_bus_dropped_total{ {{- .of -}} }[5m])) > 0
  for: 10m
  severity: warning
  summary: A server cannot keep up with what the others tell it.
  description: What was dropped is read from PostgreSQL instead, which costs more. Give the server more CPU, or have more servers.
- alert: ChatRequestsFailing
  expr: sum by (namespace) (rate(chat_server_requests_total{ {{- .of -}} ,status="5xx"}[5m])) / sum by (namespace) (rate(chat_server_requests_total{ {{- .of -}} }[5m])) > 0.05
  for: 10m
  severity: critical
  summary: More than 5 % of the requests fail.
  description: Look at the servers' logs, then at PostgreSQL.
- alert: ChatAdmissionsRefused
  expr: sum by (namespace) (rate(chat_admissions_refused_total{ {{- .of -}} }[5m])) > 1
  for: 10m
  severity: warning
  summary: Clients that want to connect are told to come back later.
  description: After an outage that is right and passes. If it stays, there are too few servers, or limits.admissions_per_second is too low.
- alert: ChatConnectionsRefused
  expr: sum by (pod) (rate(chat_server_connections_refused_total{ {{- .of -}} }[5m])) > 0
  for: 5m
  severity: warning
  summary: A server refuses connections because it has too many.
  description: Have more servers, or raise http.connections_max.
- alert: ChatAcceptErrors
  expr: sum by (pod) (rate(chat_server_accept_errors_total{ {{- .of -}} }[5m])) > 0
  for: 5m
  severity: critical
  summary: A server cannot accept connections.
  description: Usually it is out of file descriptors; compare process_open_fds with the container runtime's limit.
- alert: ChatPanics
  # A counter is not there before its first step, which is no increase then.
  expr: sum by (pod) (increase(chat_server_panics_total{ {{- .of -}} }[15m])) > 0 or sum by (pod) (chat_server_panics_total{ {{- .of -}} } unless chat_server_panics_total{ {{- .of -}} } offset 15m) > 0
  for: 0m
  severity: warning
  summary: A task of a server has panicked.
  description: That is a defect, please report it with the lines of the log around it. The server goes on.
- alert: ChatUnbalanced
  expr: max by (namespace) (chat_connections{ {{- .of -}} }) > 2 * avg by (namespace) (chat_connections{ {{- .of -}} }) and avg by (namespace) (chat_connections{ {{- .of -}} }) > 100
  for: 30m
  severity: warning
  summary: One server has more than twice its share of the connections.
  description: Clients stay where they are when servers are added. See balance.above and balance.after in the server's settings.
{{- end }}
