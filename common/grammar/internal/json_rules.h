// JSON itself, and the string formats that schemas name, as GBNF. Private to the room.
//
// What a model could write for ever is bounded, so that an answer ends: blanks (one, or a line end
// and 20, and only where printers put them), digits of a number (16). A string holds whole
// characters only: \u escapes of UTF-16 halves come in pairs.
#pragma once

namespace skein::grammar {

inline constexpr char kJsonRules[] = R"gbnf(
json-value ::= json-object | json-array | json-string | json-number | json-boolean | "null"
json-object ::= "{" json-ws (json-member ("," json-ws json-member)* json-ws)? "}"
json-member ::= json-string json-colon json-value
json-colon ::= ":" " "?
json-array ::= "[" json-ws (json-value ("," json-ws json-value)* json-ws)? "]"
json-string ::= "\"" json-char* "\""
json-char ::= json-plain | "\\" (["\\/bfnrt] | "u" json-code)
json-plain ::= [^"\\\x00-\x1F]
json-code ::= [0-9a-cA-CefEF] hex{3} | [dD] [0-7] hex{2} |
  [dD] [89abAB] hex{2} "\\u" [dD] [c-fC-F] hex{2}
json-integer ::= "-"? ("0" | [1-9] [0-9]{0,15})
json-number ::= json-integer ("." [0-9]{1,16})? ([eE] [-+]? [0-9]{1,2})?
json-boolean ::= "true" | "false"
json-ws ::= (" " | "\n" [ \t]{0,20})?
hex ::= [0-9a-fA-F]

format-date ::= "\"" date "\""
format-time ::= "\"" time "\""
format-date-time ::= "\"" date "T" time "\""
format-uuid ::= "\"" hex{8} "-" hex{4} "-" hex{4} "-" hex{4} "-" hex{12} "\""
date ::= [0-9]{4} "-" month-day | leap-year "-02-29"
month-day ::= ("0" [13578] | "1" [02]) "-" (day-28 | "29" | "3" [01]) |
  ("0" [469] | "11") "-" (day-28 | "29" | "30") | "02-" day-28
day-28 ::= "0" [1-9] | "1" [0-9] | "2" [0-8]
leap-year ::= fourth "00" | [0-9]{2} ("0" [48] | [2468] [048] | [13579] [26])
fourth ::= [02468] [048] | [13579] [26]
time ::= ([01] [0-9] | "2" [0-3]) ":" minute ":" minute ("." [0-9]{1,9})? ("Z" | [-+] zone)
minute ::= [0-5] [0-9]
zone ::= ([01] [0-9] | "2" [0-3]) ":" minute
)gbnf";

}  // namespace skein::grammar
