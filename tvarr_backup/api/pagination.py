"""Lists come in pages."""

from rest_framework.pagination import PageNumberPagination


class Pages(PageNumberPagination):
    """50 rows, and at most 500 with `?page_size=`."""

    page_size = 50
    max_page_size = 500
    page_size_query_param = "page_size"
