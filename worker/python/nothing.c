typedef int python_nothing;
