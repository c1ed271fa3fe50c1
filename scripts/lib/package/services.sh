#!/bin/bash
# What an administrator does where systemd runs; each line says whether it came out as it should.
set -u
cd /
expect() {
    local what=$1
    shift
    if said=$("$@" 2>&1); then echo "  ok    $what"; else
        printf '  FAIL  %s\n%s\n' "$what" "$said"
        exit 1
    fi
}
# A service is "started" before its program is.
soon() {
    for _ in {1..100}; do
        "$@" && return
        sleep 0.1
    done
    "$@"
}
# get PORT FILE: the last byte tells that all has come.
get() {
    exec 3<>"/dev/tcp/127.0.0.1/$1" || return
    printf 'GET /%s HTTP/1.0\r\n\r\n' "$2" >&3
    grep -aq "^$2\$" <&3
}
# serve PORT: cold files, so far as this disk forgets them.
serve() {
    for number in 1 2 3 4 5 6 7 8; do
        file=/var/www/html/s$number
        { head -c 200000 /dev/urandom; printf '\ns%s\n' "$number"; } >$file
        sync $file
        dd if=$file iflag=nocache count=0 status=none
        get "$1" "s$number" || return
    done
}
has() { grep -q "$1" "/proc/$2/maps"; }
main() { systemctl show -p MainPID --value "$1"; }
journal() { journalctl --sync && journalctl -u "$1" -o cat | grep "$2"; }

expect "installed where systemd runs" dpkg --install /opt/laio_*.deb
expect "laio enable nginx --now" laio enable nginx --now
expect "nginx has the library" has liblaio.so.0 "$(main nginx)"
expect "its limit is the drop-in's" grep -q "Max open files *8192" "/proc/$(main nginx)/limits"
expect "it serves" serve 80
expect "laio doctor nginx" laio doctor nginx
expect "its error_log has the line" grep "holds back cold requests in nginx" /var/log/nginx/error.log
expect "laio disable nginx --now" laio disable nginx --now
expect "nginx has no library" test -z "$(grep liblaio "/proc/$(main nginx)/maps")"

mkdir -p /opt/lib
cp /usr/lib/*-linux-gnu/liblaio.so.0 /opt/lib/
cat >/etc/nginx/hard.conf <<'END'
daemon off; pid /run/hard/pid; error_log stderr; env LD_PRELOAD; env LAIO_LOG; env LAIO_STATS; env LAIO_BREAK_EVEN_US;
events { worker_connections 4096; }
http { access_log off; client_body_temp_path /run/hard/1; proxy_temp_path /run/hard/2; fastcgi_temp_path /run/hard/3;
    uwsgi_temp_path /run/hard/4; scgi_temp_path /run/hard/5; server { listen 8081; root /var/www/html; } }
END
cat >/etc/systemd/system/hard.service <<'END'
[Service]
ExecStart=/usr/sbin/nginx -c /etc/nginx/hard.conf
User=www-data
RuntimeDirectory=hard
ProtectSystem=strict
ProtectHome=yes
PrivateTmp=yes
NoNewPrivileges=yes
MemoryDenyWriteExecute=yes
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources
RestrictNamespaces=yes
NoExecPaths=/opt
END
expect "a unit that is confined" systemctl daemon-reload
expect "laio enable hard --now" laio enable hard --now --library /opt/lib/liblaio.so.0 --stats /run/laio-hard/%p.json --break-even 0
expect "it has the library" soon has /opt/lib/liblaio.so.0 "$(main hard)"
expect "it listens" soon get 8081 s1
expect "it serves" serve 8081
expect "the journal has the line" journal hard "holds back cold requests in nginx"
expect "its processes are well" laio doctor "$(main hard)"
expect "it stops" systemctl stop hard
# Of the master and of the workers.
expect "counters are written" test "$(find /run/laio-hard -name '*.json' | wc -l)" -ge 2
expect "requests were held back" grep -Eq '"request_gate": [1-9]' /run/laio-hard/*.json
expect "laio disable hard" laio disable hard
expect "removed" dpkg --purge laio
