"""The URLs of the views."""

from django.urls import path

from shop.views import buy

urlpatterns = [path("buy/<int:number>", buy)]
