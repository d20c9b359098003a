(empty({event_types:Array(String)}) OR event_type IN {event_types:Array(String)})
  AND ({run_id:String} = '' OR run_id = {run_id:String})
  AND ({user_id:String} = '' OR user_id = {user_id:String})
  AND (empty({statuses:Array(String)}) OR status IN {statuses:Array(String)})
  AND (empty({models:Array(String)}) OR model IN {models:Array(String)})
  AND (empty({tags:Array(String)}) OR hasAny(tags, {tags:Array(String)}))
  AND ({env:String} = '' OR env = {env:String})
  AND ({release:String} = '' OR release = {release:String})
  AND ({text:String} = ''
       OR positionCaseInsensitiveUTF8(prompt, {text:String}) > 0
       OR positionCaseInsensitiveUTF8(response, {text:String}) > 0
       OR positionCaseInsensitiveUTF8(attributes, {json_text:String}) > 0)
