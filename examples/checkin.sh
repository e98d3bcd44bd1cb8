#!/usr/bin/env bash
# 双报到 against the demonstration (make run): a resident checks in, the community approves, a roster is tried and taken in.
set -euo pipefail

BASE=${BASE:-http://127.0.0.1:8000/v1}
field() { python3 -c "import json,sys; print(json.load(sys.stdin)['$1'])"; }
sign_in() { curl -s "$BASE/auth/wechat/login" -H 'Content-Type: application/json' \
  -d "{\"appid\":\"demo\",\"code\":\"demo:$1\"}" | field access_token; }
# call <login> <method> <path> [body]
call() { curl -sf -X "$2" "$BASE/$3" -H "Authorization: Bearer $(sign_in "$1")" \
  -H 'Content-Type: application/json' ${4:+-d "$4"}; }

COMMUNITY=$(curl -s "$BASE/demo/accounts" | python3 -c "
import json,sys; print(next(a['place']['id'] for a in json.load(sys.stdin) if a['login']=='dispatcher-5'))")

# 《在职报到单》, and the receipt
call resident-8 PUT me/checkin "{\"community_id\":\"$COMMUNITY\",\"items\":[\"elder_care\",\"tutoring\"],
  \"after_hours\":true,\"languages\":[\"普通话\",\"湘语\"],\"most_a_week\":2,\"address\":\"3栋2单元501\"}" > /dev/null
CHECKIN=$(call dispatcher-5 GET "checkins?state=filed&place_id=$COMMUNITY" | python3 -c "
import json,sys; print(json.load(sys.stdin)['items'][-1]['id'])")
call dispatcher-5 POST "checkins/$CHECKIN/approve" '{}' | field receipt

# a roster: first what it would do, then the deed, then the same again
CONTENT=$(printf '姓名,手机号,报到社区,空闲时间\n罗清和,19900020001,朝晖社区,周六9:00-12:00\n' | base64 | tr -d '\n')
for DRY in true false false; do
  call dispatcher-5 POST rosters/import \
    "{\"filename\":\"名册.csv\",\"content\":\"$CONTENT\",\"dry_run\":$DRY}" | python3 -c "
import json,sys; a=json.load(sys.stdin); print({k: a[k] for k in ('dry_run','created','unchanged','problems')})"
done

# who belongs to the community today
call dispatcher-5 GET "belongings?place_id=$COMMUNITY&limit=50" | python3 -c "
import json,sys; print(len(json.load(sys.stdin)['items']), '人')"
