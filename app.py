"""BloodCell Lab: ``streamlit run app.py``."""

import streamlit as st

from bloodcell.ui.common.frame import navigation, sidebar

st.set_page_config(
    page_title="BloodCell Lab",
    # A symbol of the Material font would be fetched from another host.
    page_icon="🩸",
    layout="wide",
    menu_items={"About": "BloodCell Lab. For research use only, not a medical device."},
)
page = navigation()
sidebar()
page.run()
