#!/usr/bin/env bash
# A community books a hall that a unit offers, against a running demonstration (make run).
set -euo pipefail
BASE=${BASE:-http://127.0.0.1:8000/v1}
field() { python3 -c "import json,sys; print(json.load(sys.stdin)['$1'])"; }
sign_in() { curl -s "$BASE/auth/wechat/login" -H 'Content-Type: application/json' \
  -d "{\"appid\":\"demo\",\"code\":\"demo:$1\"}" | field access_token; }
# post <login> <path> [body]: any write; every one carries a key, so that a repeat would do nothing
post() { curl -sf -X POST "$BASE/$2" -H "Authorization: Bearer $(sign_in "$1")" -H 'Content-Type: application/json' \
  -H "Idempotency-Key: $(python3 -c 'import uuid; print(uuid.uuid4())')" -d "${3:-{\}}"; }
listing() { curl -s "$BASE/listings" -H "Authorization: Bearer $(sign_in "$1")" | python3 -c "
import json,sys; print(next(l['id'] for l in json.load(sys.stdin)['items'] if l['title']=='$2'))"; }
HALL=$(listing dispatcher-1 图书馆二楼报告厅)
DAY=$(python3 -c 'from datetime import date, timedelta; print(date.today() + timedelta(days=20))')
HOURS="\"starts_at\":\"${DAY}T14:00:00+08:00\",\"ends_at\":\"${DAY}T16:00:00+08:00\""
BOOKED=$(post dispatcher-1 "listings/$HALL/claim" "{\"purpose\":\"邻里节演出。\",$HOURS}" | field id)
post unit-1 "claims/$BOOKED/confirm" | field state_label
