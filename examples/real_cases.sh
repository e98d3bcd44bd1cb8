#!/usr/bin/env bash
# Four cases from practice against a running demonstration (make run); README.md shows their calls.
set -euo pipefail
BASE=${BASE:-http://127.0.0.1:8000/v1}
field() { python3 -c "import json,sys; print(json.load(sys.stdin)['$1'])"; }
sign_in() { curl -s "$BASE/auth/wechat/login" -H 'Content-Type: application/json' \
  -d "{\"appid\":\"demo\",\"code\":\"demo:$1\"}" | field access_token; }
# post <login> <path> [body]: any write; every one carries a key, so that a repeat would do nothing
post() { curl -sf -X POST "$BASE/$2" -H "Authorization: Bearer $(sign_in "$1")" -H 'Content-Type: application/json' \
  -H "Idempotency-Key: $(python3 -c 'import uuid; print(uuid.uuid4())')" -d "${3:-{\}}"; }
# body_of <login>: the unit, provider or department that an account answers for, as {kind, id}
body_of() { curl -s "$BASE/demo/accounts" | python3 -c "
import json,sys; b=next(a for a in json.load(sys.stdin) if a['login']=='$1')['body']; print(json.dumps({'kind':b['kind'],'id':b['id']}))"; }
NOW=$(python3 -c 'from datetime import datetime, timezone; print(datetime.now(timezone.utc).isoformat())')
CALLED="\"follow_up\":{\"channel\":\"phone\",\"at\":\"$NOW\",\"note\":\"电话回访本人\"}"

echo '养犬扰民'
DOG=$(post grid-1 orders '{"item_code":"0804","text":"三号楼有人养大型犬，多次扰民。",
  "on_behalf_of":{"name":"张阿姨","relation":"网格居民","consent":{"how":"oral"}}}' | field id)
post dispatcher-1 "orders/$DOG/accept" > /dev/null
post dispatcher-1 "orders/$DOG/escalate" '{"level":"community","text":"长期未解决，提请社区党委研究。"}' > /dev/null
CITY=$(body_of department-1) CLEANERS=$(body_of provider-1)
post secretary-1 "orders/$DOG/deliberate" "{\"decision\":\"部门与物业联合上门。\",\"bodies\":[$CITY,$CLEANERS]}" > /dev/null
post department-1 "orders/$DOG/progress" '{"text":"已上门告诫。"}' > /dev/null
post provider-1 "orders/$DOG/progress" '{"text":"已清理楼道。"}' > /dev/null
post secretary-1 "orders/$DOG/resolve" "{\"result\":\"犬只已送走。\",\"closing\":\"solved\",\"by_body\":$CITY}" > /dev/null
post dispatcher-1 "orders/$DOG/rate" "{\"score\":5,\"solved\":true,\"contacted\":true,$CALLED}" | field state_label

echo '联谊会'
PARTY=$(post unit-1 orders '{"item_code":"1103","text":"我馆想办一场青年联谊会，请社区帮忙组织。"}' | field id)
post dispatcher-1 "orders/$PARTY/accept" > /dev/null
post dispatcher-1 "orders/$PARTY/dispatch" '{"mode":"open","kinds":["member","unit"],"slots_min":3,"slots_max":4}' > /dev/null
for LOGIN in unit-3 member-1 member-2; do post "$LOGIN" "orders/$PARTY/take" | field outcome; done
post unit-3 "orders/$PARTY/finish" '{"result":"三十人参加，现场顺利。","closing":"solved"}' > /dev/null
post unit-1 "orders/$PARTY/rate" '{"score":5,"solved":true,"contacted":true}' | field state_label

echo '82岁的李奶奶'
ELDER=$(post grid-1 orders '{"item_code":"0102","text":"李奶奶82岁，没有手机，周三上午要去市二医院复查。",
  "on_behalf_of":{"name":"李奶奶","relation":"网格老人","consent":{"how":"oral","note":"上门时口头同意"}}}' | field id)
post dispatcher-1 "orders/$ELDER/accept" > /dev/null
post dispatcher-1 "orders/$ELDER/dispatch" '{"mode":"open","slots_min":2}' > /dev/null
for LOGIN in member-3 member-4; do post "$LOGIN" "orders/$ELDER/take" | field outcome; done
post member-3 "orders/$ELDER/finish" '{"result":"已陪同复查。","closing":"solved"}' > /dev/null
post dispatcher-1 "orders/$ELDER/rate" "{\"score\":5,\"solved\":true,\"contacted\":true,$CALLED}" | field state_label

echo '路灯'
LAMP=$(post resident-1 orders '{"item_code":"0904","text":"小区门口路灯坏了。"}' | field id)
SAME=$(post resident-2 orders '{"item_code":"0904","text":"门口的灯不亮。"}' | field id)
post dispatcher-1 "orders/$LAMP/accept" > /dev/null
post dispatcher-1 "orders/$SAME/merge" "{\"parent_id\":\"$LAMP\"}" | field effective_state
post dispatcher-1 "orders/$LAMP/dispatch" "{\"mode\":\"assign\",\"targets\":[$(body_of provider-1)]}" > /dev/null
post provider-1 "orders/$LAMP/take" | field outcome
post provider-1 "orders/$LAMP/finish" '{"result":"已更换灯泡。","closing":"solved"}' > /dev/null
post resident-2 "orders/$SAME/rate" '{"score":5,"solved":true,"contacted":false}' | field state_label
post resident-1 "orders/$LAMP/rate" '{"score":4,"solved":true,"contacted":true}' | field state_label
