#!/usr/bin/env bash
# The four acts against a running demonstration (make run); the same lines stand in README.md.
set -euo pipefail
BASE=${BASE:-http://127.0.0.1:8000/v1}
field() { python3 -c "import json,sys; print(json.load(sys.stdin)['$1'])"; }
sign_in() { curl -s "$BASE/auth/wechat/login" -H 'Content-Type: application/json' \
  -d "{\"appid\":\"demo\",\"code\":\"demo:$1\"}" | field access_token; }
act() { curl -s -X POST "$BASE/$2" -H "Authorization: Bearer $1" -H 'Content-Type: application/json' -d "${3:-{\}}"; }

RESIDENT=$(sign_in resident-1); DISPATCHER=$(sign_in dispatcher-1); MEMBER=$(sign_in member-1)

# 点单
ORDER=$(curl -s "$BASE/orders" -H "Authorization: Bearer $RESIDENT" -H 'Content-Type: application/json' \
  -H "Idempotency-Key: $(python3 -c 'import uuid; print(uuid.uuid4())')" \
  -d '{"item_code":"0201","text":"三楼过道灯不亮，晚上老人上下楼看不见。"}' | field id)

# 派单: take it in, then hand it out to everyone eligible in the community
act "$DISPATCHER" "orders/$ORDER/accept" > /dev/null
act "$DISPATCHER" "orders/$ORDER/dispatch" '{"mode":"open"}' | field state_label

# 接单: one atomic act; a second taker would read SLOT_TAKEN
act "$MEMBER" "orders/$ORDER/take" | field outcome
act "$MEMBER" "orders/$ORDER/finish" '{"result":"已更换灯泡并检查了线路。","closing":"solved"}' | field state_label

# 评单: happy, and nothing pends, so the order closes
act "$RESIDENT" "orders/$ORDER/rate" '{"score":5,"solved":true,"contacted":true}' | field state_label

# what happened, in plain Chinese
curl -s "$BASE/orders/$ORDER/timeline" -H "Authorization: Bearer $RESIDENT" \
  | python3 -c "import json,sys; [print(s['at'], s['who']['name'], s['text']) for s in json.load(sys.stdin)['items']]"
