/*
 * Reading what a request says of its own signature, without judging it: the credential scope also
 * tells which service and region a request is for, so a claim is read even where nothing is
 * verified, and a client that signs with a dummy may leave parts out. Only what cannot be read is
 * malformed; sigv4_verify() asks for the rest.
 *
 * Every part is a view of the request. In a presigned URL they are percent-encoded; of the
 * characters that occur in them only '/' and ';' may be, so the cutter takes both spellings of
 * those and nothing has to be decoded.
 */
#include "wire/sigv4.h"

#include "base/attr.h"

/* SigV4: "CredentialScope: yyyymmdd/region/service/aws4_request". */
#define SIGV4_TERMINATOR "aws4_request"
#define SIGV4_ALGORITHM	 "AWS4-HMAC-SHA256"

/* The part of *rest behind its last '/' (or "%2F"); the rest stays. */
static bool claim_cut_last(str *rest, str *ret_part)
{
	for (size_t at = rest->len; at-- > 0;) {
		str tail = str_from(*rest, at);
		size_t width = str_starts(tail, S("/"))	  ? 1
			: str_starts_fold(tail, S("%2F")) ? 3
							  : 0;
		if (width > 0) {
			*ret_part = str_from(tail, width);
			*rest = str_slice(*rest, 0, at);
			return true;
		}
	}
	return false;
}

/* "AKID/20260131/us-east-1/lambda/aws4_request", from its end: a key may hold slashes. */
static bool claim_credential(str text, struct sigv4_claim *claim)
{
	str terminator;

	if (!claim_cut_last(&text, &terminator) || !claim_cut_last(&text, &claim->service) ||
		!claim_cut_last(&text, &claim->region) || !claim_cut_last(&text, &claim->date))
		return false;
	claim->access_key = text;
	return str_eq(terminator, S(SIGV4_TERMINATOR)) && claim->service.len > 0 &&
		claim->region.len > 0 && claim->date.len == 8 && claim->access_key.len > 0 &&
		str_find(claim->date, '%') < 0 && str_find(claim->region, '%') < 0 &&
		str_find(claim->service, '%') < 0 && str_find(claim->access_key, '%') < 0;
}

/* Where a named part goes, or NULL for one that nobody knows. */
static str *claim_part(struct sigv4_claim *claim, str *credential, str name)
{
	if (str_eq(name, S("Credential")))
		return credential;
	if (str_eq(name, S("SignedHeaders")))
		return &claim->signed_headers;
	if (str_eq(name, S("Signature")))
		return &claim->signature;
	return NULL;
}

/* "Credential=…, SignedHeaders=…, Signature=…", in any order, each once. */
static int claim_from_header(const struct http_head *head, str parts, struct sigv4_claim *claim)
{
	str item, name, credential = {};

	while (str_next(&parts, ',', &item)) {
		item = str_trim(item);
		if (!str_cut(&item, '=', &name))
			return SIGV4_MALFORMED;
		str *part = claim_part(claim, &credential, name);
		if (!part || part->at)
			return SIGV4_MALFORMED;
		*part = item;
	}
	if (!claim_credential(credential, claim))
		return SIGV4_MALFORMED;
	claim->timestamp = http_field(head, S("X-Amz-Date"));
	claim->token = http_field(head, S("X-Amz-Security-Token"));
	claim->present = true;
	return 0;
}

/* The query parameters of a presigned URL. */
struct claim_query {
	str algorithm, credential, date, expires, signed_headers, signature, token;
};

static bool claim_read_query(str query, struct claim_query *ret_found)
{
	struct claim_query found = {};
	const struct {
		str name;
		str *value;
	} wanted[] = {
		{ S("X-Amz-Algorithm"), &found.algorithm },
		{ S("X-Amz-Credential"), &found.credential },
		{ S("X-Amz-Date"), &found.date },
		{ S("X-Amz-Expires"), &found.expires },
		{ S("X-Amz-SignedHeaders"), &found.signed_headers },
		{ S("X-Amz-Signature"), &found.signature },
		{ S("X-Amz-Security-Token"), &found.token },
	};
	str name, value;

	while (uri_query_next(&query, &name, &value)) {
		for (size_t i = 0; i < ARRAY_LEN(wanted); i++) {
			if (!str_eq(name, wanted[i].name))
				continue;
			if (wanted[i].value->at)
				return false; /* twice */
			*wanted[i].value = value.at ? value : S("");
		}
	}
	*ret_found = found;
	return true;
}

static int claim_from_query(const struct claim_query *found, struct sigv4_claim *claim)
{
	if (!str_eq(found->algorithm, S(SIGV4_ALGORITHM)) ||
		!claim_credential(found->credential, claim))
		return SIGV4_MALFORMED;
	if (found->expires.at && str_to_u64(found->expires, UINT32_MAX, &claim->expires_s) != 0)
		return SIGV4_MALFORMED;
	claim->signed_headers = found->signed_headers;
	claim->signature = found->signature;
	claim->timestamp = found->date;
	claim->token = found->token;
	claim->present = claim->presigned = true;
	return 0;
}

/* The parts behind the algorithm's name; at == NULL for another scheme ("Bearer"). */
static int claim_authorization(const struct http_head *head, str *ret_parts)
{
	str found = {}, scheme;

	for (size_t i = 0; i < head->field_count; i++) {
		if (!str_eq_fold(head->fields[i].name, S("Authorization")))
			continue;
		if (found.at)
			return SIGV4_MALFORMED; /* twice */
		found = head->fields[i].value;
	}
	*ret_parts = (str){};
	if (!str_starts(found, S("AWS4-")))
		return 0;
	if (!str_cut(&found, ' ', &scheme) || !str_eq(scheme, S(SIGV4_ALGORITHM)))
		return SIGV4_MALFORMED;
	*ret_parts = str_trim(found);
	return 0;
}

int sigv4_claim(const struct http_head *head, struct sigv4_claim *ret_claim)
{
	struct sigv4_claim claim = {};
	struct claim_query query;
	str parts;

	if (claim_authorization(head, &parts) != 0 || !claim_read_query(head->query, &query))
		return SIGV4_MALFORMED;
	bool is_presigned = query.algorithm.at || query.signature.at;
	if (parts.at && is_presigned)
		return SIGV4_MALFORMED; /* "Only one auth mechanism allowed" */
	int r = 0;
	if (parts.at)
		r = claim_from_header(head, parts, &claim);
	else if (is_presigned)
		r = claim_from_query(&query, &claim);
	if (r != 0)
		return r;

	*ret_claim = claim;
	return 0;
}
