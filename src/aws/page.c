/*
 * A listener on a loopback address that believes everybody is reached by everything on the machine, and so by any page that is
 * open in a browser there: a form or an image needs nobody's leave to send its request, and a name that its owner turns to
 * 127.0.0.1 makes the page one of this origin. Browsers tell: "Origin" comes with all that is no plain GET, "Sec-Fetch-Site"
 * with that, too, where the address is trustworthy, which loopback ones are. Only a name that was turned is not; but then it
 * stands in "Host", and no page can change who the browser says that it is.
 */
#include "aws/page.h"

static bool is_address_of_loopback(str name)
{
	if (!str_starts(name, S("127.")))
		return false;
	for (size_t i = 0; i < name.len; i++)
		if (name.at[i] != '.' && (name.at[i] < '0' || name.at[i] > '9'))
			return false;
	return true;
}

/* Names that nobody can turn: RFC 6761 leaves those below localhost to the machine itself. */
static bool is_loopback(str host)
{
	str rest = host, name;

	if (str_starts(host, S("[::1]")))
		return true;
	if (!str_cut(&rest, ':', &name))
		name = host;
	return str_eq(name, S("localhost")) || str_ends(name, S(".localhost")) ||
		is_address_of_loopback(name);
}

bool page_asks(const struct http_head *head)
{
	str site = http_field(head, S("Sec-Fetch-Site"));
	bool is_browser = str_starts(http_field(head, S("User-Agent")), S("Mozilla/"));

	return http_field(head, S("Origin")).at || (site.at && !str_eq(site, S("none"))) ||
		(is_browser && !is_loopback(http_field(head, S("Host"))));
}
