/* The least a program can be: what a bare fork+exec costs. */
int main(void)
{
	return 0;
}
