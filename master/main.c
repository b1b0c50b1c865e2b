/* main.c: the entry of the program. */
int main(void)
{
    return 0;
}
