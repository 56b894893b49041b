# A script as somebody has it who has used Riak over HTTP for years, in the order in which the habits come: the old
# paths, the new ones, siblings, links, indexes, lists, properties, conditions, and what this store leaves out.
# TestRiakUser runs it. A line "# =>" says what the commands before it print, among other things.
R=http://127.0.0.1:8098
vclock() { curl -sI "$1" | tr -d '\r' | sed -n 's/^X-Riak-Vclock: //p'; }

# Is it there, and what can it do? Clients look for the paths in the Link header or in the JSON form.
curl -s $R/ping
# => OK
curl -s $R/stats
# => "riak_kv_version":"2.
# => "ring_members":[
# => "node_gets_total":
curl -sI $R/
# => </buckets>; rel="riak_kv_wm_object"
# => </riak>; rel="riak_kv_wm_raw"
curl -s -H 'Accept: application/json' $R/
# => "riak_kv_wm_buckets":"/buckets"
# => "riak_kv_wm_bucket_type":"/types"

# The fast track of old: a JSON document under /riak.
curl -si -X PUT $R/riak/test/doc -H 'Content-Type: application/json' -d '{"bar":"baz"}'
# => HTTP/1.1 204 No Content
curl -si $R/riak/test/doc
# => HTTP/1.1 200 OK
# => Content-Type: application/json
# => Link: </riak/test>; rel="up"
# => {"bar":"baz"}
curl -sI $R/riak/test/doc
# => X-Riak-Vclock: 
# => Content-Length: 13
curl -si -X PUT "$R/riak/test/doc?returnbody=true" -H "X-Riak-Vclock: $(vclock $R/riak/test/doc)" -H 'Content-Type: application/json; charset=utf-8' -d '{"bar":"foo"}'
# => HTTP/1.1 200 OK
# => Content-Type: application/json; charset=utf-8
# => {"bar":"foo"}
curl -si -X POST $R/riak/test -H 'Content-Type: text/plain' -d 'this is a test'
# => HTTP/1.1 201 Created
# => Location: /riak/test/
curl -si -X POST $R/riak/test/doc2 -d 'curl names a form'
# => HTTP/1.1 204 No Content
curl -s $R/riak/test/doc2 -o /dev/null -w '%{http_code} %{content_type}\n'
# => 200 application/x-www-form-urlencoded
curl -si -X DELETE $R/riak/test/doc2
# => HTTP/1.1 204 No Content
curl -si $R/riak/test/doc2
# => HTTP/1.1 404 Not Found
# => X-Riak-Deleted: true
# => not found

# A picture, byte for byte.
printf 'GIF89a\000\377\r\n' > picture
curl -si -X PUT $R/riak/images/1.gif?w=3 -H 'Content-Type: image/gif' --data-binary @picture
# => HTTP/1.1 204 No Content
curl -s $R/buckets/images/keys/1.gif | cmp - picture && echo the same bytes
# => the same bytes

curl -si -T picture $R/riak/images/2.gif -H 'Content-Type: image/gif' -H 'Expect: 100-continue' | grep '^HTTP' | tail -1
# => HTTP/1.1 204 No Content
curl -s -T - $R/riak/images/3.gif -H 'Content-Type: image/gif' < picture && curl -s -0 $R/riak/images/3.gif | cmp - picture && echo chunks are joined
# => chunks are joined
head -c 1100000 /dev/zero | curl -si -X PUT $R/riak/images/big -H 'Content-Type: image/gif' --data-binary @- | grep '^HTTP' | tail -1
# => HTTP/1.1 413 Request Entity Too Large

# Both kinds of path are the same object. Keys may have slashes and spaces.
curl -s $R/buckets/test/keys/doc
# => {"bar":"foo"}
curl -si -X PUT $R/buckets/test/keys/a%2Fb%20c -H 'Content-Type: text/plain' -d slash
# => HTTP/1.1 204 No Content
curl -s $R/riak/test/a%2Fb+c
# => slash
curl -si -X POST $R/buckets/posts/keys?w=3 -H 'Content-Type: text/plain' -d hello
# => HTTP/1.1 201 Created
# => Location: /buckets/posts/keys/
LOCATION=$(curl -si -X POST $R/buckets/posts/keys -H 'Content-Type: text/plain' -d again | tr -d '\r' | sed -n 's/^Location: //p')
curl -s "$R$LOCATION"
# => again
curl -s "$R/types/default/buckets/test/keys/doc"
# => {"bar":"foo"}

# Metadata, links and indexes travel along. A write replaces all of them.
curl -si -X PUT $R/buckets/people/keys/anna?w=3 -H 'Content-Type: text/plain' -H 'X-Riak-Meta-Color: blue' \
	-H 'x-riak-index-email_bin: anna@example.org, a@example.org' -H 'x-riak-index-age_int: 41' \
	-H 'Link: </buckets/people/keys/bert>; riaktag="friend", </riak/people/carl>; riaktag="brother"' -d anna
# => HTTP/1.1 204 No Content
curl -si $R/buckets/people/keys/anna
# => x-riak-meta-color: blue
# => x-riak-index-age_int: 41
# => x-riak-index-email_bin: anna@example.org, a@example.org
# => </buckets/people/keys/bert>; riaktag="friend"
# => </buckets/people/keys/carl>; riaktag="brother"
curl -sI $R/riak/people/anna
# => </riak/people/bert>; riaktag="friend"
curl -si -X PUT $R/buckets/people/keys/bad -H 'Content-Type: text/plain' -H 'Link: people/bert' -d x
# => HTTP/1.1 400 Bad Request
# => Invalid Link header. Links must be of the form
curl -si -X PUT $R/buckets/people/keys/bad -H 'Content-Type: text/plain' -H 'X-Riak-Index-age_int: old' -d x
# => Could not parse field 'age_int', value 'old'.
curl -so /dev/null -w '%{http_code}\n' $R/buckets/people/keys/bad
# => 404

# Siblings: two writers who have not read. The plain answer lists vtags, multipart has the values.
for value in one two; do curl -s -X PUT $R/buckets/sib/keys/k -H 'Content-Type: text/plain' -d $value; done
curl -si $R/buckets/sib/keys/k
# => HTTP/1.1 300 Multiple Choices
# => Content-Type: text/plain
# => Siblings:
curl -s "$R/buckets/sib/keys/k?vtag=$(curl -s $R/buckets/sib/keys/k | sed -n 2p)"
# => one
curl -si -H 'Accept: multipart/mixed' $R/buckets/sib/keys/k
# => HTTP/1.1 300 Multiple Choices
# => Content-Type: multipart/mixed; boundary=
# => Etag: 
# => one
# => two
curl -si -H 'Accept: multipart/mixed, */*;q=0.5' $R/riak/sib/k | grep -c '^Link: </riak/sib>; rel="up"'
# => 2
curl -so /dev/null -w '%{http_code}\n' -H 'Accept: application/json' $R/buckets/sib/keys/k
# => 406
curl -si -X PUT "$R/buckets/sib/keys/k?returnbody=true" -H 'Accept: multipart/mixed, */*;q=0.5' -H 'Content-Type: text/plain' -d three
# => HTTP/1.1 300 Multiple Choices
# => three
curl -si -X PUT $R/buckets/sib/keys/k -H "X-Riak-Vclock: $(vclock $R/buckets/sib/keys/k)" -H 'X-Riak-ClientId: bWUhIQ==' -H 'Content-Type: text/plain' -d merged
# => HTTP/1.1 204 No Content
curl -si $R/buckets/sib/keys/k
# => HTTP/1.1 200 OK
# => merged
curl -si -X PUT $R/buckets/sib/keys/k -H 'X-Riak-Vclock: a85hYGBgzGDKBVIszMk55zKYEhnzWBlKIniO8mUBAA==' -H 'Content-Type: text/plain' -d 'with the clock of another store'
# => HTTP/1.1 400 Bad Request
# => X-Riak-Vclock is damaged

# Deletes, with and without what the reader saw.
OLD=$(vclock $R/buckets/sib/keys/k)
curl -s -X PUT $R/buckets/sib/keys/k -H "X-Riak-Vclock: $OLD" -H 'Content-Type: text/plain' -d newer
curl -si -X DELETE $R/buckets/sib/keys/k -H "X-Riak-Vclock: $OLD"
# => HTTP/1.1 204 No Content
curl -s $R/buckets/sib/keys/k
# => newer
curl -si -X DELETE "$R/buckets/sib/keys/k?rw=all"
# => HTTP/1.1 204 No Content
curl -si -X DELETE $R/buckets/sib/keys/k
# => HTTP/1.1 404 Not Found

# Quorums by number and by word, and what is refused.
curl -si "$R/buckets/test/keys/doc?r=1&pr=1&basic_quorum=true&notfound_ok=false&timeout=5000"
# => HTTP/1.1 200 OK
curl -si -X PUT "$R/buckets/test/keys/q?w=3&dw=quorum&pw=one&sync_on_write=all" -H 'Content-Type: text/plain' -d x
# => HTTP/1.1 204 No Content
curl -si "$R/buckets/test/keys/doc?r=foo"
# => HTTP/1.1 400 Bad Request
# => r query parameter must be an integer or one of the following words: 'one', 'quorum' or 'all'
curl -si "$R/buckets/test/keys/doc?r=4"
# => Specified w/dw/pw/node_confirms values invalid for bucket n value of 3
curl -si "$R/buckets/test/keys/doc?timeout=soon"
# => Bad timeout value "soon"
curl -si -X PUT $R/buckets/test/keys/doc -H 'Content-Type:' -d x
# => Missing Content-Type request header
curl -si -X PUT $R/buckets/test/keys/doc -H 'Content-Type: text' -d x
# => HTTP/1.1 415 Unsupported Media Type

# Conditions.
ETAG=$(curl -sI $R/buckets/test/keys/doc | tr -d '\r' | sed -n 's/^ETag: //p')
curl -si $R/buckets/test/keys/doc -H "If-None-Match: $ETAG"
# => HTTP/1.1 304 Not Modified
curl -si -X PUT $R/buckets/test/keys/doc -H 'If-None-Match: *' -H 'Content-Type: text/plain' -d x
# => HTTP/1.1 412 Precondition Failed
curl -si -X PUT $R/buckets/test/keys/doc -H 'If-Match: "stale"' -H 'Content-Type: text/plain' -d x
# => HTTP/1.1 412 Precondition Failed
curl -si -X PUT $R/buckets/test/keys/doc -H "If-Match: $ETAG" -H "X-Riak-Vclock: $(vclock $R/buckets/test/keys/doc)" -H 'Content-Type: application/json' -d '{"bar":"new"}'
# => HTTP/1.1 204 No Content
curl -si -X PUT $R/buckets/test/keys/doc -H 'X-Riak-If-Not-Modified: bm9uc2Vuc2U=' -H 'Content-Type: text/plain' -d x
# => HTTP/1.1 409 Conflict
curl -si $R/buckets/test/keys/doc -H "If-Modified-Since: $(curl -sI $R/buckets/test/keys/doc | tr -d '\r' | sed -n 's/^Last-Modified: //p')"
# => HTTP/1.1 304 Not Modified

# Lists, whole and streamed. What was deleted is not there.
curl -s "$R/buckets/people/keys?keys=true"
# => {"keys":["anna"]}
curl -s "$R/buckets/people/keys/?keys=true"
# => {"keys":["anna"]}
curl -s "$R/buckets/people/keys?keys=stream"
# => {"keys":["anna"]}{"keys":[]}
curl -s "$R/riak/people?keys=true&props=false"
# => {"keys":["anna"]}
curl -s "$R/riak/people?keys=true"
# => {"props":{
# => "keys":["anna"]
curl -s "$R/riak/people?keys=stream"
# => "young_vclock":20}}{"keys":["anna"]}{"keys":[]}
curl -s "$R/buckets/sib/keys?keys=true"
# => {"keys":[]}
curl -s "$R/buckets?buckets=true" | tr -d '{}[]"' | tr ':,' '\n\n' | sort | xargs
# => buckets images people posts test
curl -s "$R/buckets?buckets=stream"
# => {"buckets":[]}
curl -s "$R/riak?buckets=true"
# => "people"

# Properties, by both paths.
curl -si -X PUT $R/riak/conf -H 'Content-Type: application/json' -d '{"props":{"n_val":2,"allow_mult":false}}'
# => HTTP/1.1 204 No Content
curl -s $R/riak/conf
# => "allow_mult":false
# => "n_val":2
# => "name":"conf"
curl -s $R/buckets/conf/props
# => "chash_keyfun":{"fun":"chash_std_keyfun","mod":"riak_core_util"}
for value in one two; do curl -s -X PUT $R/buckets/conf/keys/k -H 'Content-Type: text/plain' -d $value; done
curl -si $R/buckets/conf/keys/k
# => HTTP/1.1 200 OK
# => two
curl -si -X PUT $R/buckets/conf/props -H 'Content-Type: application/json' -d '{"props":{"n_val":"many"}}'
# => HTTP/1.1 400 Bad Request
# => {"n_val":"not_integer"}
curl -si -X PUT $R/buckets/conf/props -H 'Content-Type: text/plain' -d '{"props":{}}'
# => HTTP/1.1 415 Unsupported Media Type
curl -s $R/buckets/test/props | sed 's/"r":"quorum"/"r":2/' | curl -si -X PUT $R/buckets/test/props -H 'Content-Type: application/json' -d @-
# => HTTP/1.1 204 No Content
curl -s $R/buckets/test/props
# => "r":2,
curl -s -X PUT $R/buckets/other/props -H 'Content-Type: application/json' -d '{"props":{"r":1,"w":"all"}}'
curl -si -X DELETE $R/buckets/other/props
# => HTTP/1.1 204 No Content
curl -s $R/buckets/other/props
# => "w":"quorum"
curl -si $R/types/maps/buckets/b/keys/k
# => HTTP/1.1 404 Not Found
# => Unknown bucket type: maps

# What Riak has and this store does not: a clear 404, never something that looks like an empty result.
for path in buckets/people/index/email_bin/a 'buckets/people/index/$key/a/z' buckets/people/counters/c solr/people/select \
	types/default/buckets/people/datatypes/d riak/people/anna/_,_,1 buckets/people/keys/anna/people,_,1 luwak/x; do
	curl -so /dev/null -w '%{http_code} ' "$R/$path"
done
# => 404 404 404 404 404 404 404 404
curl -si -X POST $R/mapred -H 'Content-Type: application/json' -d '{"inputs":"test","query":[]}'
# => HTTP/1.1 404 Not Found
# => there is no such resource
curl -si -X PATCH $R/riak/test/doc -d x
# => HTTP/1.1 501 Not Implemented
curl -si -X DELETE $R/riak/test
# => HTTP/1.1 405 Method Not Allowed
