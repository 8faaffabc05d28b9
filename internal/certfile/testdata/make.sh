#!/bin/sh
# Makes the files of this directory with the openssl command, version 3.0. The password of all is "correct horse".
set -eu
cd "$(dirname "$0")"
openssl req -x509 -newkey rsa:2048 -nodes -keyout rsa.key -out root.pem -days 36500 -subj "/CN=Vector Root" 2>/dev/null
openssl ecparam -name prime256v1 -genkey -noout -out ec.key
openssl req -new -key ec.key -subj "/CN=gw.example" -addext "subjectAltName=URI:sip:gw.example" -out leaf.csr
printf 'subjectAltName=URI:sip:gw.example\nextendedKeyUsage=serverAuth,clientAuth\n' >ext.tmp
openssl x509 -req -in leaf.csr -CA root.pem -CAkey rsa.key -CAcreateserial -days 36500 -extfile ext.tmp -out leaf.pem 2>/dev/null
p8() { out=$1; shift; openssl pkcs8 -topk8 -in ec.key -out "$out" -passout "pass:correct horse" "$@"; }
p8 p8-default.key
p8 p8-aes128-sha1.key -v2 aes-128-cbc -v2prf hmacWithSHA1
p8 p8-aes192-sha384.key -v2 aes-192-cbc -v2prf hmacWithSHA384
p8 p8-aes256-sha512.key -v2 aes-256-cbc -v2prf hmacWithSHA512
p8 p8-3des.key -v2 des3
p8 p8-scrypt.key -scrypt
p8 p8-pbes1.key -v1 PBE-SHA1-3DES
p8 p8.der -outform DER
openssl ec -in ec.key -aes128 -passout "pass:correct horse" -out old-aes.key 2>/dev/null
openssl rsa -traditional -in rsa.key -des3 -passout "pass:correct horse" -out old-3des.key 2>/dev/null
openssl rsa -traditional -in rsa.key -out pkcs1.key 2>/dev/null
p12() { out=$1; shift; openssl pkcs12 -export -in leaf.pem -inkey ec.key -certfile root.pem -name gateway -passout "pass:correct horse" -out "$out" "$@"; }
p12 modern.p12
p12 legacy.p12 -legacy
p12 windows.pfx -legacy -CSP "Microsoft Enhanced RSA and AES Cryptographic Provider" -LMK -keypbe PBE-SHA1-3DES -certpbe PBE-SHA1-RC2-40 -macalg sha1
openssl pkcs12 -export -nomac -in leaf.pem -inkey ec.key -passout "pass:correct horse" -out nomac.p12
openssl pkcs12 -export -nokeys -in leaf.pem -passout "pass:correct horse" -out nokey.p12
openssl pkcs12 -export -in leaf.pem -inkey ec.key -passout pass: -out empty.p12
openssl crl2pkcs7 -nocrl -certfile leaf.pem -certfile root.pem -outform DER -out chain.p7b
openssl crl2pkcs7 -nocrl -certfile leaf.pem -certfile root.pem -out chain.p7b.pem
openssl x509 -in root.pem -trustout -addtrust serverAuth -out trusted.pem
: >index.tmp; echo 01 >crlnumber.tmp
printf '[ca]\ndefault_ca=d\n[d]\ndatabase=index.tmp\ncrlnumber=crlnumber.tmp\ndefault_md=sha256\n' >ca.tmp
openssl ca -gencrl -config ca.tmp -keyfile rsa.key -cert root.pem -crldays 36500 -out crl.pem 2>/dev/null
rm -f ./*.tmp ./*.tmp.* ./*.old ./*.srl
